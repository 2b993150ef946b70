"""Captions in ten languages, made by seed: what alt texts of the web look like, written by us. Used by language.py and by bench/language.py.

A third of the captions are whole ones written by hand (each split keeps its own); the others join a subject, an activity, a place, a moment or goods, as
alt texts do. Some get what the web adds to them: capitals, sizes, numbers, a shop's name. The phrases of the train and the test split are
disjoint, so that nobody who learns from `train` has seen a phrase of `test`. Short captions (two to five words) are common, as in real data.
"""

import random

# s: subjects, v: what they do, p: where, t: when or how, o: goods and titles, w: whole captions; " / " parts them.
PHRASES = {
    "en": {
        "s": "a red fox / two young women / an old fisherman / the white church / a little girl with a balloon / several sheep / a wooden bridge / my grandmother / a cyclist in the rain / the black cat / a group of students / a vintage tractor / three horses / a baker in his shop / the mountain hut / a tired dog",
        "v": "sleeping in the sun / waiting for the train / looking out of the window / drinking coffee with friends / running through tall grass / playing the guitar / walking along the shore / covered with fresh snow / reading a newspaper / baking bread / climbing over rocks / painted by children / resting after work / selling flowers",
        "p": "in the old town / by the lake / at the market / near the lighthouse / on a quiet street / in front of the school / behind the house / under a blue sky / at the harbour / in my kitchen / along the river / on the way home / in the forest / above the clouds",
        "t": "at sunset / in early spring / on a rainy day / last summer / late at night / before breakfast / in black and white / seen from above",
        "o": "ceramic mug with floral print / women's leather boots, size 39 / wedding invitation template / free wallpaper download / healthy chicken soup recipe / children's winter jacket with hood / used car for sale / living room furniture ideas / how to tie a tie / stainless steel water bottle / birthday cake with strawberries / map of the underground / cheap flights to Rome / kitchen knife set / garden chair made of wood / science fair poster",
        "w": "Here is what you need to know before you travel / Our new office opened its doors last week / The best places to eat when money is short / Children love this simple game / Nobody was hurt when the roof fell in / He won the race by less than a second / Why your tomatoes taste of nothing / They got married on a beach / A view worth the long climb / She wrote three books about birds / Some of the many things we saw / Please do not feed the ducks / Same day delivery within the city / It took us four years to build this boat / All rights reserved by the author / What happened to the missing painting / These shoes were made for walking / Ten ways to save water / Sunday lunch with the whole family / Where the wild goats live / How much does it cost / Close-up of a bee / Her first day at school / Thank you for your visit",
    },
    "de": {
        "s": "ein roter Fuchs / zwei junge Frauen / ein alter Fischer / die weiße Kirche / ein kleines Mädchen mit Luftballon / mehrere Schafe / eine Holzbrücke / meine Großmutter / ein Radfahrer im Regen / die schwarze Katze / eine Gruppe Studenten / ein alter Traktor / drei Pferde / ein Bäcker in seinem Laden / die Berghütte / ein müder Hund",
        "v": "schläft in der Sonne / wartet auf den Zug / schaut aus dem Fenster / beim Kaffeetrinken mit Freunden / läuft durch hohes Gras / spielt Gitarre / am Ufer entlang / mit frischem Schnee bedeckt / liest eine Zeitung / beim Brotbacken / klettert über Felsen / von Kindern gemalt / nach der Arbeit / beim Blumenverkauf",
        "p": "in der Altstadt / am See / auf dem Markt / neben dem Leuchtturm / in einer ruhigen Straße / vor der Schule / hinter dem Haus / unter blauem Himmel / im Hafen / in meiner Küche / am Fluss / auf dem Heimweg / im Wald / über den Wolken",
        "t": "bei Sonnenuntergang / im Frühling / an einem Regentag / im letzten Sommer / spät in der Nacht / vor dem Frühstück / in Schwarzweiß / von oben gesehen",
        "o": "Keramiktasse mit Blumenmuster / Damenstiefel aus Leder, Größe 39 / Vorlage für Hochzeitseinladungen / Hintergrundbilder kostenlos herunterladen / gesunde Hühnersuppe, Rezept / Winterjacke für Kinder mit Kapuze / Gebrauchtwagen zu verkaufen / Möbel fürs Wohnzimmer / Krawatte binden leicht gemacht / Trinkflasche aus Edelstahl / Geburtstagstorte mit Erdbeeren / Karte der U-Bahn / günstige Flüge nach Rom / Messerset für die Küche / Gartenstuhl aus Holz / Plakat zur Ausstellung",
        "w": "Was Sie vor der Reise wissen sollten / Unser neues Büro hat letzte Woche geöffnet / Gut essen für wenig Geld / Dieses einfache Spiel lieben Kinder / Beim Einsturz des Daches wurde niemand verletzt / Er gewann das Rennen knapp / Warum Ihre Tomaten nach nichts schmecken / Hochzeit am Strand / Der Aufstieg hat sich gelohnt / Sie schrieb drei Bücher über Vögel / Einiges von dem, was wir gesehen haben / Bitte die Enten nicht füttern / Lieferung noch am selben Tag / Vier Jahre haben wir an diesem Boot gebaut / Alle Rechte beim Verfasser / Das Rätsel um das verschwundene Gemälde / Schuhe zum Wandern / Zehn Tipps zum Wassersparen / Sonntagsessen mit der ganzen Familie / Wo die wilden Ziegen leben / Wie viel kostet das / Nahaufnahme einer Biene / Ihr erster Schultag / Vielen Dank für Ihren Besuch",
    },
    "fr": {
        "s": "un renard roux / deux jeunes femmes / un vieux pêcheur / l'église blanche / une petite fille avec un ballon / plusieurs moutons / un pont en bois / ma grand-mère / un cycliste sous la pluie / le chat noir / un groupe d'étudiants / un tracteur ancien / trois chevaux / un boulanger dans sa boutique / le refuge de montagne / un chien fatigué",
        "v": "dort au soleil / attend le train / regarde par la fenêtre / prend un café avec des amis / court dans les hautes herbes / joue de la guitare / se promène au bord de l'eau / couvert de neige fraîche / lit un journal / fait du pain / grimpe sur les rochers / peint par des enfants / se repose après le travail / vend des fleurs",
        "p": "dans la vieille ville / au bord du lac / au marché / près du phare / dans une rue tranquille / devant l'école / derrière la maison / sous un ciel bleu / sur le port / dans ma cuisine / le long de la rivière / sur le chemin du retour / dans la forêt / au-dessus des nuages",
        "t": "au coucher du soleil / au début du printemps / un jour de pluie / l'été dernier / tard dans la nuit / avant le petit déjeuner / en noir et blanc / vu d'en haut",
        "o": "tasse en céramique à fleurs / bottes en cuir pour femme, taille 39 / modèle de faire-part de mariage / fond d'écran gratuit à télécharger / recette de soupe au poulet / veste d'hiver pour enfant / voiture d'occasion à vendre / idées pour meubler le salon / comment nouer une cravate / gourde en acier inoxydable / gâteau d'anniversaire aux fraises / plan du métro / vols pas chers pour Rome / lot de couteaux de cuisine / chaise de jardin en bois / affiche de l'exposition",
        "w": "Ce qu'il faut savoir avant de partir / Notre nouveau bureau a ouvert la semaine dernière / Où bien manger à petit prix / Les enfants adorent ce jeu tout simple / Le toit s'est effondré sans faire de blessés / Il gagne la course de justesse / Pourquoi vos tomates n'ont aucun goût / Mariage sur la plage / Une vue qui vaut la montée / Elle a écrit trois livres sur les oiseaux / Voici ce que nous avons vu / Ne pas nourrir les canards / Livraison le jour même / Quatre ans pour construire ce bateau / Tous droits réservés à l'auteur / Le mystère du tableau disparu / Des chaussures faites pour marcher / Dix façons d'économiser l'eau / Repas du dimanche en famille / Là où vivent les chèvres sauvages / Combien ça coûte / Gros plan sur une abeille / Son premier jour d'école / Merci de votre visite",
    },
    "es": {
        "s": "un zorro rojo / dos mujeres jóvenes / un viejo pescador / la iglesia blanca / una niña con un globo / varias ovejas / un puente de madera / mi abuela / un ciclista bajo la lluvia / el gato negro / un grupo de estudiantes / un tractor antiguo / tres caballos / un panadero en su tienda / el refugio de montaña / un perro cansado",
        "v": "durmiendo al sol / esperando el tren / mirando por la ventana / tomando café con amigos / corriendo por la hierba alta / tocando la guitarra / paseando por la orilla / cubierto de nieve fresca / leyendo el periódico / haciendo pan / trepando por las rocas / pintado por los niños / descansando después del trabajo / vendiendo flores",
        "p": "en el casco antiguo / junto al lago / en el mercado / cerca del faro / en una calle tranquila / delante de la escuela / detrás de la casa / bajo un cielo azul / en el puerto / en mi cocina / a lo largo del río / camino a casa / en el bosque / sobre las nubes",
        "t": "al atardecer / a principios de primavera / en un día de lluvia / el verano pasado / a altas horas de la noche / antes del desayuno / en blanco y negro / visto desde arriba",
        "o": "taza de cerámica con flores / botas de cuero para mujer, talla 39 / plantilla de invitación de boda / fondo de pantalla gratis / receta de sopa de pollo / chaqueta de invierno para niños / coche de segunda mano en venta / ideas para amueblar el salón / cómo hacer el nudo de la corbata / botella de acero inoxidable / tarta de cumpleaños con fresas / plano del metro / vuelos baratos a Roma / juego de cuchillos de cocina / silla de jardín de madera / cartel de la exposición",
        "w": "Lo que debes saber antes de viajar / Nuestra nueva oficina abrió la semana pasada / Dónde comer bien por poco dinero / A los niños les encanta este juego / Nadie resultó herido al caer el techo / Ganó la carrera por muy poco / Por qué tus tomates no saben a nada / Boda en la playa / Una vista que merece la subida / Ella escribió tres libros sobre aves / Algunas de las cosas que vimos / No dar de comer a los patos / Entrega en el mismo día / Tardamos cuatro años en construir este barco / Todos los derechos del autor / El misterio del cuadro desaparecido / Zapatos hechos para caminar / Diez maneras de ahorrar agua / Comida de domingo en familia / Donde viven las cabras salvajes / Cuánto cuesta / Primer plano de una abeja / Su primer día de colegio / Gracias por su visita",
    },
    "it": {
        "s": "una volpe rossa / due giovani donne / un vecchio pescatore / la chiesa bianca / una bambina con un palloncino / alcune pecore / un ponte di legno / mia nonna / un ciclista sotto la pioggia / il gatto nero / un gruppo di studenti / un trattore d'epoca / tre cavalli / un fornaio nella sua bottega / il rifugio di montagna / un cane stanco",
        "v": "dorme al sole / aspetta il treno / guarda dalla finestra / beve un caffè con gli amici / corre nell'erba alta / suona la chitarra / passeggia lungo la riva / coperto di neve fresca / legge il giornale / prepara il pane / si arrampica sulle rocce / dipinto dai bambini / si riposa dopo il lavoro / vende fiori",
        "p": "nel centro storico / sul lago / al mercato / vicino al faro / in una strada tranquilla / davanti alla scuola / dietro la casa / sotto un cielo azzurro / al porto / nella mia cucina / lungo il fiume / sulla via di casa / nel bosco / sopra le nuvole",
        "t": "al tramonto / all'inizio della primavera / in un giorno di pioggia / l'estate scorsa / a tarda notte / prima di colazione / in bianco e nero / visto dall'alto",
        "o": "tazza in ceramica con fiori / stivali da donna in pelle, taglia 39 / modello di invito per matrimonio / sfondi gratis da scaricare / ricetta della zuppa di pollo / giacca invernale per bambini / auto usata in vendita / idee per arredare il soggiorno / come annodare la cravatta / borraccia in acciaio inossidabile / torta di compleanno con fragole / mappa della metropolitana / voli economici per Roma / set di coltelli da cucina / sedia da giardino in legno / manifesto della mostra",
        "w": "Cosa sapere prima di partire / Il nostro nuovo ufficio ha aperto la settimana scorsa / Dove mangiare bene spendendo poco / I bambini adorano questo gioco / Nessun ferito nel crollo del tetto / Ha vinto la gara per un soffio / Perché i tuoi pomodori non sanno di niente / Matrimonio in spiaggia / Una vista che vale la salita / Ha scritto tre libri sugli uccelli / Alcune delle cose che abbiamo visto / Non dare da mangiare alle anatre / Consegna in giornata / Quattro anni per costruire questa barca / Tutti i diritti riservati all'autore / Il mistero del quadro scomparso / Scarpe fatte per camminare / Dieci modi per risparmiare acqua / Pranzo della domenica in famiglia / Dove vivono le capre selvatiche / Quanto costa / Primo piano di un'ape / Il suo primo giorno di scuola / Grazie della visita",
    },
    "pt": {
        "s": "uma raposa vermelha / duas mulheres jovens / um velho pescador / a igreja branca / uma menina com um balão / várias ovelhas / uma ponte de madeira / minha avó / um ciclista na chuva / o gato preto / um grupo de estudantes / um trator antigo / três cavalos / um padeiro na sua loja / o abrigo na montanha / um cão cansado",
        "v": "dormindo ao sol / esperando o trem / olhando pela janela / tomando café com amigos / correndo pela relva alta / tocando violão / caminhando pela margem / coberto de neve fresca / lendo o jornal / fazendo pão / subindo as rochas / pintado por crianças / descansando depois do trabalho / vendendo flores",
        "p": "na cidade velha / à beira do lago / no mercado / perto do farol / numa rua tranquila / em frente à escola / atrás da casa / sob um céu azul / no porto / na minha cozinha / ao longo do rio / a caminho de casa / na floresta / acima das nuvens",
        "t": "ao pôr do sol / no início da primavera / num dia de chuva / no verão passado / tarde da noite / antes do café da manhã / em preto e branco / visto de cima",
        "o": "caneca de cerâmica com flores / botas de couro femininas, tamanho 39 / modelo de convite de casamento / papel de parede grátis para baixar / receita de sopa de frango / casaco de inverno para crianças / carro usado à venda / ideias para decorar a sala / como dar nó na gravata / garrafa de aço inoxidável / bolo de aniversário com morangos / mapa do metrô / voos baratos para Roma / conjunto de facas de cozinha / cadeira de jardim em madeira / cartaz da exposição",
        "w": "O que você precisa saber antes de viajar / Nosso novo escritório abriu na semana passada / Onde comer bem gastando pouco / As crianças adoram este jogo / Ninguém ficou ferido na queda do telhado / Ele venceu a corrida por pouco / Por que seus tomates não têm gosto / Casamento na praia / Uma vista que vale a subida / Ela escreveu três livros sobre aves / Algumas das coisas que vimos / Não alimente os patos / Entrega no mesmo dia / Levamos quatro anos para construir este barco / Todos os direitos reservados ao autor / O mistério do quadro desaparecido / Sapatos feitos para andar / Dez maneiras de poupar água / Almoço de domingo em família / Onde vivem as cabras selvagens / Quanto custa / Abelha vista de perto / O primeiro dia de aula dela / Obrigado pela sua visita",
    },
    "nl": {
        "s": "een rode vos / twee jonge vrouwen / een oude visser / de witte kerk / een klein meisje met een ballon / enkele schapen / een houten brug / mijn grootmoeder / een fietser in de regen / de zwarte kat / een groep studenten / een oude tractor / drie paarden / een bakker in zijn winkel / de berghut / een vermoeide hond",
        "v": "slaapt in de zon / wacht op de trein / kijkt uit het raam / drinkt koffie met vrienden / rent door het hoge gras / speelt gitaar / wandelt langs het water / bedekt met verse sneeuw / leest de krant / bakt brood / klimt over de rotsen / geschilderd door kinderen / rust uit na het werk / verkoopt bloemen",
        "p": "in de oude stad / aan het meer / op de markt / bij de vuurtoren / in een rustige straat / voor de school / achter het huis / onder een blauwe lucht / in de haven / in mijn keuken / langs de rivier / op weg naar huis / in het bos / boven de wolken",
        "t": "bij zonsondergang / in het vroege voorjaar / op een regenachtige dag / afgelopen zomer / laat in de nacht / voor het ontbijt / in zwart-wit / van boven gezien",
        "o": "keramische mok met bloemen / leren dameslaarzen, maat 39 / sjabloon voor trouwkaarten / gratis achtergrond downloaden / recept voor kippensoep / winterjas voor kinderen met capuchon / tweedehands auto te koop / ideeën voor de woonkamer / hoe knoop je een stropdas / roestvrijstalen drinkfles / verjaardagstaart met aardbeien / kaart van de metro / goedkope vluchten naar Rome / set keukenmessen / houten tuinstoel / affiche van de tentoonstelling",
        "w": "Wat je moet weten voordat je vertrekt / Ons nieuwe kantoor is vorige week geopend / Lekker eten voor weinig geld / Kinderen zijn dol op dit spel / Niemand raakte gewond toen het dak instortte / Hij won de wedstrijd op het nippertje / Waarom je tomaten nergens naar smaken / Trouwen op het strand / Een uitzicht dat de klim waard is / Ze schreef drie boeken over vogels / Een paar dingen die we zagen / Eendjes voeren is verboden / Vandaag nog bezorgd / Vier jaar bouwden we aan deze boot / Alle rechten voorbehouden aan de auteur / Het raadsel van het verdwenen schilderij / Schoenen om mee te wandelen / Tien manieren om water te besparen / Zondagse lunch met het hele gezin / Waar de wilde geiten leven / Hoeveel kost het / Close-up van een bij / Haar eerste schooldag / Bedankt voor uw bezoek",
    },
    "ru": {
        "s": "рыжая лиса / две молодые женщины / старый рыбак / белая церковь / маленькая девочка с шариком / несколько овец / деревянный мост / моя бабушка / велосипедист под дождём / чёрная кошка / группа студентов / старый трактор / три лошади / пекарь в своей лавке / горный приют / усталая собака",
        "v": "спит на солнце / ждёт поезд / смотрит в окно / пьёт кофе с друзьями / бежит по высокой траве / играет на гитаре / гуляет по берегу / под свежим снегом / читает газету / печёт хлеб / лезет по скалам / рисунок детей / отдыхает после работы / продаёт цветы",
        "p": "в старом городе / у озера / на рынке / возле маяка / на тихой улице / перед школой / за домом / под голубым небом / в порту / на моей кухне / вдоль реки / по дороге домой / в лесу / над облаками",
        "t": "на закате / ранней весной / в дождливый день / прошлым летом / поздно ночью / до завтрака / чёрно-белое фото / вид сверху",
        "o": "керамическая кружка с цветами / женские кожаные сапоги, размер 39 / шаблон свадебного приглашения / скачать обои бесплатно / рецепт куриного супа / зимняя куртка для детей / продажа подержанных машин / мебель для гостиной / как завязать галстук / бутылка из нержавеющей стали / торт на день рождения с клубникой / схема метро / дешёвые билеты в Рим / набор кухонных ножей / садовый стул из дерева / афиша выставки",
        "w": "Что нужно знать перед поездкой / Наш новый офис открылся на прошлой неделе / Где вкусно поесть недорого / Дети обожают эту игру / Никто не пострадал при обрушении крыши / Он выиграл гонку / Почему помидоры без вкуса / Свадьба на пляже / Ради такого вида стоит подняться / Она написала три книги о птицах / Вот что мы увидели / Не кормите уток / Доставка в тот же день / Мы строили эту лодку четыре года / Все права принадлежат автору / Тайна пропавшей картины / Обувь для долгих прогулок / Десять способов беречь воду / Воскресный обед с семьёй / Где живут дикие козы / Сколько это стоит / Пчела крупным планом / Её первый день в школе / Спасибо за визит",
    },
    "ja": {
        "s": "赤いキツネ / 二人の若い女性 / 年老いた漁師 / 白い教会 / 風船を持つ女の子 / 羊の群れ / 木の橋 / 私の祖母 / 雨の中の自転車 / 黒猫 / 学生たち / 古いトラクター / 三頭の馬 / 店に立つパン屋さん / 山小屋 / 疲れた犬",
        "v": "日なたで眠る / 電車を待つ / 窓の外を見る / 友達とコーヒーを飲む / 草原を走る / ギターを弾く / 岸辺を歩く / 新雪に覆われた / 新聞を読む / パンを焼く / 岩を登る / 子どもが描いた / 仕事の後に休む / 花を売る",
        "p": "旧市街で / 湖のほとり / 市場にて / 灯台の近く / 静かな通りで / 学校の前 / 家の裏 / 青空の下 / 港で / 私の台所 / 川沿い / 帰り道 / 森の中 / 雲の上",
        "t": "夕暮れ / 早春 / 雨の日 / 去年の夏 / 深夜 / 朝食の前 / 白黒写真 / 上から見た景色",
        "o": "花柄の陶器マグカップ / 婦人用革ブーツ / 結婚式招待状テンプレート / 無料壁紙ダウンロード / 鶏のスープの作り方 / 子供用フード付きコート / 中古車販売 / リビングの家具 / ネクタイの結び方 / ステンレス水筒 / いちごの誕生日ケーキ / 地下鉄路線図 / ローマ行き格安航空券 / 包丁セット / 木製ガーデンチェア / 展覧会のポスター",
        "w": "旅行の前に知っておきたいこと / 先週、新しい事務所を開きました / 安くておいしい店 / 子どもが大好きな遊び / 屋根が落ちたがけが人はなし / 僅差でレースに勝った / トマトの味がしない理由 / 浜辺の結婚式 / 登る価値のある眺め / 彼女は鳥の本を三冊書いた / 私たちが見たもの / アヒルにえさをやらないでください / 当日配達 / 四年かけて造った船 / 著作権は作者にあります / 消えた絵の謎 / 歩くための靴 / 水を節約する十の方法 / 家族で日曜の昼ごはん / 野生のヤギがすむ所 / いくらですか / ハチの接写 / 初めての登校日 / ご来店ありがとうございます",
    },
    "zh": {
        "s": "一只红狐狸 / 两位年轻女子 / 老渔夫 / 白色的教堂 / 拿气球的小女孩 / 几只绵羊 / 一座木桥 / 我的奶奶 / 雨中骑车的人 / 黑猫 / 一群学生 / 旧拖拉机 / 三匹马 / 店里的面包师 / 山间小屋 / 一只疲倦的狗",
        "v": "在阳光下睡觉 / 等火车 / 望着窗外 / 和朋友喝咖啡 / 跑过草地 / 弹吉他 / 在岸边散步 / 被新雪覆盖 / 看报纸 / 烤面包 / 爬过岩石 / 孩子们画的 / 下班后休息 / 卖花",
        "p": "在老城区 / 湖边 / 市场里 / 灯塔附近 / 安静的街道上 / 学校门前 / 屋后 / 蓝天下 / 在港口 / 我的厨房里 / 沿着河流 / 回家的路上 / 森林里 / 云层之上",
        "t": "日落时分 / 早春 / 下雨天 / 去年夏天 / 深夜 / 早餐之前 / 黑白照片 / 俯视图",
        "o": "印花陶瓷杯 / 女士真皮靴子 / 婚礼请柬模板 / 免费壁纸下载 / 鸡汤的做法 / 儿童连帽冬装 / 二手车出售 / 客厅家具设计 / 领带的打法 / 不锈钢水壶 / 草莓生日蛋糕 / 地铁线路图 / 飞往罗马的特价机票 / 厨房刀具套装 / 木制花园椅 / 展览海报",
        "w": "旅行前需要知道的事 / 我们的新办公室上周开业了 / 花钱不多也能吃好 / 孩子们很喜欢这个游戏 / 屋顶倒塌无人受伤 / 他以微弱优势赢得比赛 / 为什么你的番茄没有味道 / 海滩婚礼 / 值得攀登的风景 / 她写了三本关于鸟的书 / 我们看到的一些东西 / 请不要喂鸭子 / 当天送达 / 这条船我们造了四年 / 版权归作者所有 / 失踪名画之谜 / 适合走路的鞋 / 节约用水的十种方法 / 全家人的星期天午餐 / 野山羊生活的地方 / 多少钱 / 蜜蜂特写 / 她上学的第一天 / 感谢您的光临",
    },
}
# Written after the embedded detector was finished, on other matters: nothing was chosen by looking at these.
FRESH = {
    "en": "Rusty bicycle leaning against a brick wall / Grandpa teaching kids to fish / Blue dress with long sleeves / Aerial view of the stadium / Quick guide to better sleep / Two owls on a branch / Company logo on a white background / Traffic jam after the concert / Handmade soap bars / The mayor speaks to reporters / Foggy morning / Broken phone screen repair",
    "de": "Rostiges Fahrrad an einer Mauer / Opa bringt Kindern das Angeln bei / Blaues Kleid mit langen Ärmeln / Luftaufnahme des Stadions / Kurze Anleitung für besseren Schlaf / Zwei Eulen auf einem Ast / Firmenlogo auf weißem Hintergrund / Stau nach dem Konzert / Handgemachte Seife / Die Bürgermeisterin spricht mit Journalisten / Nebliger Morgen / Handy Display Reparatur",
    "fr": "Vélo rouillé contre un mur / Papi apprend aux enfants à pêcher / Robe bleue à manches longues / Vue aérienne du stade / Petit guide pour mieux dormir / Deux hiboux sur une branche / Logo de l'entreprise sur fond blanc / Embouteillage après le concert / Savons faits main / Le maire répond aux journalistes / Matin brumeux / Réparation d'écran de téléphone",
    "es": "Bicicleta oxidada apoyada en un muro / El abuelo enseña a pescar a los niños / Vestido azul de manga larga / Vista aérea del estadio / Guía rápida para dormir mejor / Dos búhos en una rama / Logotipo de la empresa sobre fondo blanco / Atasco después del concierto / Jabones artesanales / La alcaldesa habla con los periodistas / Mañana con niebla / Reparación de pantalla de móvil",
    "it": "Bicicletta arrugginita contro un muro / Il nonno insegna a pescare ai bambini / Vestito blu a maniche lunghe / Veduta aerea dello stadio / Guida rapida per dormire meglio / Due gufi su un ramo / Logo aziendale su sfondo bianco / Traffico dopo il concerto / Saponi fatti a mano / Il sindaco parla con i giornalisti / Mattina di nebbia / Riparazione schermo del telefono",
    "pt": "Bicicleta enferrujada encostada no muro / Vovô ensina as crianças a pescar / Vestido azul de manga comprida / Vista aérea do estádio / Guia rápido para dormir melhor / Duas corujas num galho / Logotipo da empresa em fundo branco / Engarrafamento depois do show / Sabonetes artesanais / A prefeita fala com os jornalistas / Manhã de neblina / Conserto de tela de celular",
    "nl": "Roestige fiets tegen een bakstenen muur / Opa leert kinderen vissen / Blauwe jurk met lange mouwen / Luchtfoto van het stadion / Korte gids voor een betere nachtrust / Twee uilen op een tak / Bedrijfslogo op witte achtergrond / File na het concert / Handgemaakte zeep / De burgemeester spreekt met journalisten / Mistige ochtend / Reparatie van een gebroken scherm",
    "ru": "Ржавый велосипед у кирпичной стены / Дедушка учит детей рыбачить / Синее платье с длинными рукавами / Стадион с высоты птичьего полёта / Как лучше спать / Две совы на ветке / Логотип компании на белом фоне / Пробка после концерта / Мыло ручной работы / Мэр отвечает журналистам / Туманное утро / Ремонт экрана телефона",
    "ja": "レンガの壁に立てかけた自転車 / 孫に釣りを教えるおじいさん / 長袖の青いワンピース / 競技場の航空写真 / よく眠るための方法 / 枝にとまる二羽のフクロウ / 白い背景の会社のロゴ / コンサートの後の渋滞 / 手作り石けん / 記者会見する市長 / 霧の朝 / 携帯電話修理",
    "zh": "靠在砖墙上的旧自行车 / 爷爷教孩子钓鱼 / 蓝色长袖连衣裙 / 体育场航拍图 / 改善睡眠小指南 / 树枝上的两只猫头鹰 / 白色背景的公司标志 / 音乐会后的交通堵塞 / 手工皂 / 市长对记者讲话 / 有雾的早晨 / 手机屏幕维修",
}
LANGUAGES = list(PHRASES)
# Languages that the embedded detector does not know: what it says of them is reported too.
OUTSIDE = {
    "pl": "stary rybak w porcie / dwie młode kobiety na rynku / kubek ceramiczny w kwiaty / przepis na zupę pomidorową / zachód słońca nad jeziorem / buty zimowe dla dzieci / śpiący kot na oknie / tanie loty do Rzymu / samochód używany na sprzedaż / nasza nowa siedziba",
    "cs": "starý rybář v přístavu / dvě mladé ženy na trhu / keramický hrnek s květinami / recept na rajskou polévku / západ slunce nad jezerem / zimní boty pro děti / kočka spí na okně / levné letenky do Říma / ojeté auto na prodej / naše nová kancelář",
    "uk": "старий рибалка в порту / дві молоді жінки на ринку / керамічна чашка з квітами / рецепт томатного супу / захід сонця над озером / зимове взуття для дітей / кіт спить на вікні / дешеві квитки до Риму / вживане авто на продаж / наш новий офіс",
    "fi": "vanha kalastaja satamassa / kaksi nuorta naista torilla / kukallinen keraaminen muki / tomaattikeiton resepti / auringonlasku järvellä / lasten talvikengät / kissa nukkuu ikkunalla / halvat lennot Roomaan / käytetty auto myytävänä / uusi toimistomme",
    "hu": "öreg halász a kikötőben / két fiatal nő a piacon / virágos kerámia bögre / paradicsomleves recept / naplemente a tó felett / téli gyerekcipő / a macska alszik az ablakban / olcsó repülőjegyek Rómába / használt autó eladó / új irodánk",
    "ro": "un pescar bătrân în port / două femei tinere la piață / cană de ceramică cu flori / rețetă de supă de roșii / apus de soare peste lac / cizme de iarnă pentru copii / pisica doarme la fereastră / zboruri ieftine spre Roma / mașină folosită de vânzare / noul nostru birou",
    "da": "en gammel fisker i havnen / to unge kvinder på markedet / keramikkrus med blomster / opskrift på tomatsuppe / solnedgang over søen / vintersko til børn / katten sover i vinduet / billige fly til Rom / brugt bil til salg / vores nye kontor",
    "id": "nelayan tua di pelabuhan / dua wanita muda di pasar / cangkir keramik bermotif bunga / resep sup tomat / matahari terbenam di danau / sepatu musim dingin anak / kucing tidur di jendela / tiket murah ke Roma / mobil bekas dijual / kantor baru kami",
}
# Which parts a joined caption has.
SHAPES = ["s", "o", "s p", "s v", "s v p", "s v p t", "s p t", "o t", "s v t"]
ADDED = [" - 1920x1080", " | Nordwind", " (2019)", " #4471", " IMG_2034", " – Alamy", " HD", " 12 x 18 cm", " @ Tokyo", "..."]


def split(text, part):
    """The phrases of one split: every even one for `train`, every odd one for `test`, both for `all` (where nobody learns from them)."""
    phrases = text.split(" / ")
    return phrases if part == "all" else phrases[part == "test"::2]


def caption(g, language, part):
    """One caption in `language` of the split `part`, drawn from the generator `g`."""
    parts = {name: split(text, part) for name, text in PHRASES[language].items()}
    if g.random() < 1 / 3:
        text = g.choice(parts["w"])
    else:
        glue = "" if language in ("ja", "zh") else " "
        text = ""
        for name in g.choice(SHAPES).split():
            text += ("、" if glue == "" else ", ") if name == "t" and text else glue if text else ""
            text += g.choice(parts[name])
        if g.random() < 0.6:
            text = text[0].upper() + text[1:]
    if g.random() < 0.05:
        text = text.upper()
    if g.random() < 0.15:
        text += g.choice(ADDED)
    return text


def captions(count, part, seed):
    """`count` pairs (language, caption), languages in equal numbers and mixed order; the same for the same seed."""
    g = random.Random(f"{part} {seed}")
    rows = [(language, caption(g, language, part)) for i in range(count) for language in [LANGUAGES[i % len(LANGUAGES)]]]
    g.shuffle(rows)
    return rows
